Feature: Workflows survive a restart of the server
  As a user I want to lose nothing when the server goes down in the middle of my workflow.

  Scenario: Server restart with incomplete workflows attempts automatic recovery
    Given my workflow is in the middle of a step
    And so is the workflow of Olaf, who closes his page
    When all services are killed
    And they are started again
    Then both incomplete workflows are detected and recovered
    And I am told so on my open page
    And Olaf is told so when he opens his page again
    And both workflows go on to Completed with every step committed once

  Scenario: A killed executor interrupts nobody for long
    Given my workflow is in the middle of a step
    When the executor is killed
    And it is started again
    Then I am told of the recovery without having to reconnect
    And my workflow goes on to Completed with every step committed once

Feature: A step that fails for a passing reason is retried by itself
  As a user I want workflows to get over short troubles by themselves, so that I don't lose progress.

  Scenario: Transient failure triggers automatic retry
    Given a workflow step encounters a timeout
    When the step execution fails
    Then the system retries up to 3 times
    And each retry is logged with correlation ID

  Scenario: Execute step with a transient failure makes three attempts
    Given the carrier's server answers 503 to the first 2 requests
    When I start a delivery that books this carrier
    Then the workflow reaches Completed state
    And the booking was attempted 3 times with the waits of the plan between
    And I was told of each retry as it happened

  Scenario: By default the retries wait 0, 2 and 5 seconds
    Given an executor that runs with the default settings
    When a step there fails each time
    Then the retries came after 0, 2 and 5 seconds

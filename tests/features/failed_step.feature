Feature: A step that cannot be done is handed to me
  As a user I want to hear of a failure and to decide what happens next.

  Scenario: After exhausted retries the workflow is Failed and I am told
    Given a workflow step fails
    When its retries are exhausted
    Then the workflow transitions to Failed state
    And I receive notification: "Step failed after multiple attempts"
    And the notification offers me to retry

  Scenario: Execute step with a permanent failure transitions to Failed
    Given a workflow step fails for a reason that will not pass
    Then the workflow transitions to Failed state
    And the step was not retried
    And I receive notification: "Step failed"

  Scenario: I retry a failed step by hand
    Given a workflow step fails
    And its retries are exhausted
    When the trouble is over
    And I ask for the step to be retried
    Then the answer is 200
    And the workflow reaches Completed state
    And every step was committed once

  Scenario: I skip a failed step that is optional
    Given the optional last step of my workflow has failed
    And the notification offers me to skip
    When I ask for the step to be skipped
    Then the answer is 200
    And the workflow reaches Completed state
    And the step is shown as skipped

  Scenario: A failed step that is not optional cannot be skipped
    Given a workflow step fails
    And its retries are exhausted
    When I ask for the step to be skipped
    Then the answer is 409
    And the workflow is still Failed

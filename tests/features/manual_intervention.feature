Feature: People help where nothing automatic is left
  As support I want to see the workflows that need attention and to restore them by hand.

  Scenario: Recovery fails completely and the workflow needs attention
    Given a workflow is in Failed state
    And none of its checkpoints is intact
    When I POST to /api/v1/workflows/{id}/recover
    Then the answer is 500
    And it says that the recovery did not succeed
    And I am told that the recovery failed
    And support is told that the workflow needs attention
    And the list of failed workflows shows that it needs a person

  Scenario: Support restores from a checkpoint
    Given a workflow is in Failed state
    And none of its checkpoints is intact
    And support has repaired the first checkpoint
    When the trouble is over
    And support restores from the first checkpoint
    Then the answer is 200
    And the workflow reaches Completed state
    And the steps after the first one were done anew
    And the audit names support, the reason and the outcome

Feature: A failed workflow is recovered over the API
  As a user I want a failed workflow to go on from where it was safe.

  Scenario: Failed workflow recovered via API
    Given a workflow is in Failed state
    When the trouble is over
    And I POST to /api/v1/workflows/{id}/recover
    Then the workflow resumes from last checkpoint
    And I receive a success notification

  Scenario: POST recover from Failed state returns 200
    Given a workflow is in Failed state
    When I POST to /api/v1/workflows/{id}/recover
    Then the answer is 200
    And it names the step and the checkpoint that the workflow goes on from

  Scenario: Recover workflow with a valid checkpoint restores the state
    Given a workflow is in Failed state
    When the trouble is over
    And I POST to /api/v1/workflows/{id}/recover
    Then the workflow reaches Completed state
    And its state is what the steps before the failure had made, and what the later ones added
    And no step before the failure was executed again

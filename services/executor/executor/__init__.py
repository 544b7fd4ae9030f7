"""The executor: runs the steps of workflows and commits each of them once."""

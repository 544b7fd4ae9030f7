"""The demo: five workflows on real servers, failures and recoveries included, shown as they go."""

"""The admin API: start workflows, look at them, and put them back on their feet."""

"""What can be found out of a cluster before anything is deployed; each file is one question."""

"""What goes in and what comes out: one file for each resource, with the function that makes the output of a row."""

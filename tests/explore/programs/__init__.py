"""Programs that the explorer is judged by: bugs with their fixed twins, and programs that are right."""

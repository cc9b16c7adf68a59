"""UNO101 to UNO103: tasks that are left running, that failed unseen, or that swallowed their cancellation."""

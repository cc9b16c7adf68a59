"""UNO104 and UNO2xx: coroutines, async generators, and what waits on an event loop or was left in one."""

"""UNO401, UNO402, UNO404, UNO409: connections, servers, sockets and HTTP sessions."""

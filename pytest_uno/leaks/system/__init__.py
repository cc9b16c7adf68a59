"""UNO403 and UNO405 to UNO408: processes, files, descriptors, threads and their pools."""

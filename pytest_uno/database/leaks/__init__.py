"""The leak detectors of the database: they look at SQLAlchemy, once somebody has imported it."""

"""Who may look behind the counter: members of staff, for an hour after they last did something."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shop.rate_limit import RateLimit


class WrongPasswordError(Exception):
    """That is not the password."""


class NotSignedInError(Exception):
    """There is no such session, or it has expired."""


class TooManyAttemptsError(Exception):
    """Nobody may try a password now.

    Attributes:
        retry_after: seconds until somebody may.
    """

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"too many attempts; the next one in {retry_after:g} s")
        self.retry_after = retry_after


@dataclass
class StaffSession:
    """What a member of staff gets for the password."""

    token: str
    expires_at: datetime


class StaffDesk:
    """Signs members of staff in.

    Args:
        password: the password of the staff.
        lifetime: for how long a session that is not used stays valid.
    """

    def __init__(self, password: str, *, lifetime: timedelta = timedelta(hours=1)) -> None:
        self._password = password.encode()
        self._lifetime = lifetime
        self._sessions: dict[str, StaffSession] = {}
        # One limit for everybody: whoever guesses passwords has many addresses.
        self._attempts = RateLimit(5, per=60)

    def sign_in(self, password: str) -> StaffSession:
        """Open a session.

        Raises:
            TooManyAttemptsError: the password was not even looked at.
            WrongPasswordError: it is a wrong one.
        """
        if pause := self._attempts.try_turn():
            raise TooManyAttemptsError(pause)
        if not secrets.compare_digest(password.encode(), self._password):
            raise WrongPasswordError
        self._forget_expired()
        session = StaffSession(secrets.token_urlsafe(), datetime.now(UTC) + self._lifetime)
        self._sessions[session.token] = session
        return session

    def check(self, token: str) -> StaffSession:
        """Find a session, and let it live for another lifetime.

        Raises:
            NotSignedInError: there is none, or it has expired.
        """
        self._forget_expired()
        session = self._sessions.get(token)
        if session is None:
            raise NotSignedInError
        session.expires_at = datetime.now(UTC) + self._lifetime
        return session

    def _forget_expired(self) -> None:
        now = datetime.now(UTC)
        self._sessions = {
            token: session for token, session in self._sessions.items() if session.expires_at > now
        }

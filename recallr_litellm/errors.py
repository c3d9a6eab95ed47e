"""Every error of the package.

    RecallrError
     ├─ RequestError              the request is at fault; the client is told, the model is not called
     │   ├─ InvalidHeaders          400, every bad header at once
     │   │   └─ InvalidReconifyUser   400, `X-Reconify-User-*` headers and `metadata.reconify_user`
     │   ├─ Unauthorized            401, bad or missing key or project
     │   ├─ UserNotFound            404
     │   │   └─ UserForgotten         404, the request is older than the forgetting
     │   ├─ UserExists              409
     │   ├─ SessionNotFound         404
     │   ├─ ApiError                the API only
     │   │   ├─ SessionNotPending       400, what is being processed or is processed takes no message
     │   │   ├─ InvalidCategories       400, categories that no memory has
     │   │   ├─ LearningOff             400, nothing is learned here
     │   │   ├─ AdminRefused            401 or 403, not LiteLLM's master key
     │   │   ├─ MemoryNotFound          404
     │   │   ├─ MemoryChanged           409, another version is the current one by now
     │   │   ├─ ConflictNotFound        404
     │   │   ├─ ProjectNotFound         404
     │   │   ├─ KeyNotFound             404
     │   │   ├─ RequestNotFound         404, a request that is to be explained
     │   │   ├─ DeadLetterNotFound      404
     │   │   ├─ ProjectExists           409
     │   │   ├─ KeyIsConfigured         409, a key that only the environment can revoke
     │   │   ├─ BodyTooLarge            413
     │   │   ├─ InvalidValue            422, a value of a request that is none, or not now
     │   │   ├─ InvalidProject          422, a name or a setting that a project cannot have
     │   │   ├─ InvalidImport           422, a file or document that is imported
     │   │   └─ TooManyRequests         429
     │   └─ ForwardRefused          400 to 413 and 502 to 504, forward URL; its code says why
     ├─ ConfigurationError        the start is at fault; the gateway does not start
     │   ├─ EmbeddingMismatch       the store was filled with another embedding model
     │   ├─ DataDirInUse            the embedded stores belong to another process
     │   └─ PlatformUnsupported     an embedded store has no build for this platform
     ├─ CommandFailed             a request of a command to the running gateway was not served
     ├─ RedactionFailed           `RECONIFY_REDACT` cannot be applied; the payload is not sent
     ├─ Unavailable             an outage: a dependency can serve nobody; requests go on without memory
     │   ├─ StateUnavailable        Redis
     │   ├─ VectorsUnavailable      Qdrant
     │   ├─ KeysUnavailable         the keys that Qdrant holds, before they were read for the first time
     │   ├─ EmbeddingUnavailable    the embedding model
     │   │   ├─ EmbeddingBusy           its endpoint answered 429
     │   │   └─ EmbeddingMisconfigured  its endpoint refuses the key, or does not know the model
     │   └─ ModelUnavailable        the model of `RECALLR_MEMORY_MODEL`
     │       ├─ ModelBusy               it answered 429
     │       └─ ModelSlow               it did not answer one call in time
     └─ CallRefused             a dependency works but refused one call; only that request or session is affected
         ├─ StateRefused            Redis
         ├─ VectorsRefused          Qdrant
         ├─ ModelRefused            the model of `RECALLR_MEMORY_MODEL`
         └─ EmbeddingRefused        the embedding model

How a `RequestError` becomes an HTTP answer is decided in one place for each shape: `litellm_host/rejections.py` for
requests to a model, `api/rest/errors.py` for the REST API.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class RecallrError(Exception):
    """Base of all errors raised by this package."""


class RequestError(RecallrError):
    """A request that cannot be served as sent. The message is for the client."""

    status: int = 400
    """HTTP status of the answer."""
    code: str = "invalid_request"
    """Machine-readable reason."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        """Name of the header (or body field) at fault, if there is exactly one."""

    @property
    def detail(self) -> str | dict[str, Any]:
        """What the REST API says of it."""
        return self.message

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of the REST API's answer."""
        return {}


class InvalidHeaders(RequestError):
    """One or more `X-Recallr-*` headers are missing, malformed or sent twice."""

    status = 400
    code = "invalid_recallr_headers"

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(
            "; ".join(f"{name}: {problem}" for name, problem in problems.items()),
            param=next(iter(problems)) if len(problems) == 1 else None,
        )
        self.problems = dict(problems)
        """Header name → what is wrong with it and what would be right."""


class InvalidReconifyUser(InvalidHeaders):
    """`X-Reconify-User-*` headers or fields of `metadata.reconify_user` are malformed or sent twice."""

    code = "invalid_reconify_user"


class Unauthorized(RequestError):
    """The API key or the project is missing or wrong. Which of the two is never said."""

    status = 401
    code = "invalid_recallr_api_key"


class UserNotFound(RequestError):
    """The user does not exist and the request does not allow creating it."""

    status = 404
    code = "user_not_found"


class UserForgotten(UserNotFound):
    """The user, or the session, was forgotten after the request had come: nothing of it is kept."""


class UserExists(RequestError):
    """The name is that of another user of the project."""

    status = 409
    code = "user_exists"


class SessionNotFound(RequestError):
    """No such session of this user. Another user's session is answered the same."""

    status = 404
    code = "session_not_found"


class ApiError(RequestError):
    """A request to the API that cannot be served. The API says so in its text and status alone: `code` is not told."""


class AdminRefused(ApiError):
    """Not LiteLLM's master key, or LiteLLM has none."""

    status = 401

    def __init__(self, message: str, *, status: int = 401) -> None:
        super().__init__(message)
        self.status = status


class ProjectNotFound(ApiError):
    """No such project."""

    status = 404


class KeyNotFound(ApiError):
    """The project has no such key."""

    status = 404


class ProjectExists(ApiError):
    """There is a project of that name."""

    status = 409


class KeyIsConfigured(ApiError):
    """The key is one of `RECALLR_PROJECTS` or the generated one: only a start without it revokes it."""

    status = 409


class InvalidProject(ApiError):
    """A name or a setting that a project cannot have."""

    status = 422


class BodyTooLarge(ApiError):
    """The body of a request to the API has more bytes than the project may send."""

    status = 413


class InvalidImport(ApiError):
    """What is to be imported is not of a known form. The message names the place and what is wrong there."""

    status = 422


class TooManyRequests(ApiError):
    """The project has had its requests of this minute.

    Args:
        retry_after: seconds until the next are served.
    """

    status = 429

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    @property
    def headers(self) -> Mapping[str, str]:
        """See `RequestError`."""
        return {"Retry-After": str(self.retry_after)}


class SessionNotPending(ApiError):
    """A message for a session that does not wait for its timeout any more, or the wish to process such a one."""

    status = 400


class InvalidAnswers(ApiError):
    """Answers that do not fit the questions of a conflict, or come after it was settled."""

    status = 400


class LearningOff(ApiError):
    """Something is to be learned where no model is set or learning is switched off."""

    status = 400


class InvalidCategories(ApiError):
    """Memories are asked for by categories that there are none of.

    Args:
        categories: these.
    """

    status = 400

    def __init__(self, categories: Sequence[str]) -> None:
        super().__init__(f"Invalid categories: {', '.join(categories)}")
        self.categories = categories

    @property
    def detail(self) -> dict[str, Any]:
        """See `RequestError`."""
        return {"message": self.message, "invalid_categories": list(self.categories)}


class MemoryNotFound(ApiError):
    """No such memory of this user. Another user's memory is answered the same."""

    status = 404


class MemoryChanged(ApiError):
    """The change was meant for a version of the memory that is no longer the current one."""

    status = 409
    code = "memory_changed"


class ConflictNotFound(ApiError):
    """No such merge conflict of this user. Another user's is answered the same."""

    status = 404


class InvalidValue(ApiError):
    """A value of a request to the REST API that is none, or not now."""

    status = 422


class DeadLetterNotFound(ApiError):
    """No such payload of this project was refused."""

    status = 404


class RequestNotFound(ApiError):
    """No such request of this project, or it is no longer kept. Another project's is answered the same."""

    status = 404

    def __init__(self, request_id: str) -> None:
        super().__init__(
            f"Request {request_id} not found: it is none of this project, or no longer kept (RECALLR_EXPLAIN_HOURS)"
        )


class ForwardRefused(RequestError):
    """A request to the forward URL that is not forwarded, or whose upstream failed.

    Args:
        code: one of `STATUSES`.
        status: where it is another one than that.
    """

    STATUSES: ClassVar[Mapping[str, int]] = {
        "invalid_forward_body": 400,
        "provider_key_missing": 401,
        "upstream_not_allowed": 403,
        "endpoint_not_supported": 404,
        "method_not_supported": 405,
        "forward_body_too_large": 413,
        "upstream_failed": 502,
        "recallr_keys_unavailable": 503,
    }

    def __init__(self, code: str, message: str, *, param: str | None = None, status: int | None = None) -> None:
        super().__init__(message, param=param)
        self.code = code
        self.status = status or self.STATUSES[code]


class ConfigurationError(RecallrError):
    """The settings or the machine do not allow a start. The message says what to do."""


class EmbeddingMismatch(ConfigurationError):
    """The vector store was filled with another embedding model than the configured one."""


class DataDirInUse(ConfigurationError):
    """Another process owns the embedded stores in `RECALLR_DATA_DIR`."""


class PlatformUnsupported(ConfigurationError):
    """An embedded store has no build for this platform; a URL must be configured."""


class CommandFailed(RecallrError):
    """A request of the `recallr` command to the running gateway was not served. The message says what to do.

    Args:
        status: HTTP status of the answer; None where there was none.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class RedactionFailed(RecallrError):
    """The callable of `RECONIFY_REDACT` raised or returned no text. Its payload must be dropped, not sent as it is."""


class Unavailable(RecallrError):
    """An outage: a dependency can serve nobody. Requests go on without memory, work is retried later."""

    reason: str = "store"
    """The `reason=` of `X-Recallr-Memory-Status: degraded`."""


class StateUnavailable(Unavailable):
    """Redis cannot be reached, did not answer in time, or refuses everybody (out of memory, read-only, loading)."""


class VectorsUnavailable(Unavailable):
    """Qdrant cannot be reached, did not answer in time, or refuses everybody (401, 403, 404, 429, 5xx)."""


class KeysUnavailable(Unavailable):
    """A key can be neither accepted nor refused: those that Qdrant holds were not read since the start."""


class EmbeddingUnavailable(Unavailable):
    """The embedding model cannot be reached, did not answer in time, or answered 429 or 5xx."""

    reason = "embedding"


class EmbeddingBusy(EmbeddingUnavailable):
    """The endpoint of the embedding model answered 429.

    Args:
        retry_after: seconds, where the endpoint named them.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class EmbeddingMisconfigured(EmbeddingUnavailable):
    """The endpoint of the embedding model answered 401, 403 or 404: somebody has to correct it."""


class ModelUnavailable(Unavailable):
    """The model of `RECALLR_MEMORY_MODEL` failed, answered with nothing that can be used, or is not configured."""

    reason = "agent"


class ModelBusy(ModelUnavailable):
    """The model of `RECALLR_MEMORY_MODEL` answered 429.

    Args:
        retry_after: seconds, where the provider named them.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ModelSlow(ModelUnavailable):
    """The model of `RECALLR_MEMORY_MODEL` did not answer one call in time."""


class CallRefused(RecallrError):
    """A dependency works but refused one call. Only the request or session of that call is affected."""

    reason: str = "store"
    """The `reason=` of `X-Recallr-Memory-Status: degraded`."""


class StateRefused(CallRefused):
    """Redis refused one call: a damaged value of one user, or a script that failed on it."""


class VectorsRefused(CallRefused):
    """Qdrant refused one call: a point it does not accept, or a query it cannot read (400, 409, 413, 422)."""


class ModelRefused(CallRefused):
    """The model of `RECALLR_MEMORY_MODEL` refused one call (a content filter, a text that is too long)."""

    reason = "agent"


class EmbeddingRefused(CallRefused):
    """The embedding model refused one text (400, 413, 422), or returned no usable vector for it."""

    reason = "embedding"

"""n8n, whose workflows the webhooks call."""

from urllib.parse import urlsplit

from hookvault.providers.base import Field, Provider
from hookvault.providers.proof import Code, Config, Occasion, Proof, ProofRequest, by_status, text_of


def _origin(config: Config) -> str:
    """The API key goes to the base URL's origin, and whatever path stands behind it is the webhooks' own."""
    parts = urlsplit(text_of(config, "baseUrl"))
    return f"{parts.scheme}://{parts.netloc}"


def _workflows(config: Config, _occasion: Occasion) -> ProofRequest:
    path = "/api/v1/workflows?limit=1&excludePinnedData=true"
    return ProofRequest("GET", path, (("x-n8n-api-key", text_of(config, "apiKey")),))


def _verdict(_config: Config, status: int, body: bytes) -> Code:
    if status != 200:
        return by_status(status) if status >= 300 else "unexpected_answer"
    # Its beginning only: one workflow may be longer than what is kept of an answer.
    return "ok" if b"".join(body[:64].split()).startswith(b'{"data":[') else "unexpected_answer"


N8N = Provider(
    kind="n8n",
    label="n8n",
    fields=(
        Field(
            name="baseUrl",
            label="Base URL",
            required=True,
            secret=False,
            max_length=2048,
            value_kind="url",
        ),
        Field(
            name="apiKey",
            label="API key",
            pattern=r"^(n8n_api_[0-9a-f]{40,}|eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)$",
            hint="An n8n API key usually begins with eyJ and has two dots in it, or begins with n8n_api_.",
        ),
    ),
    proofs=(Proof(fields=("apiKey",), base=_origin, request=_workflows, verdict=_verdict),),
)

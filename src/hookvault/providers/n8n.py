"""n8n, whose workflows the webhooks call."""

from hookvault.providers.base import Field, Provider

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
)

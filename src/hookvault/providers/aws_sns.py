"""Amazon SNS, for SMS."""

from hookvault.providers.base import Field, Provider

AWS_SNS = Provider(
    kind="aws_sns",
    label="AWS SNS",
    fields=(
        Field(
            name="accessKeyId",
            label="Access key ID",
            required=True,
            pattern=r"^AKIA[A-Z0-9]{16}$",
            hint="An access key ID is usually AKIA and 16 capitals and digits. One that begins with ASIA "
            "is temporary and soon stops working.",
            max_length=256,
        ),
        Field(
            name="secretAccessKey",
            label="Secret access key",
            required=True,
            pattern=r"^[A-Za-z0-9/+=]{40}$",
            hint="A secret access key usually has 40 characters.",
            max_length=1024,
        ),
        Field(
            name="region",
            label="Region",
            required=True,
            secret=False,
            pattern=r"^[a-z]{2,4}(-[a-z]+)+-[0-9]$",
            hint="A region is written like eu-central-1.",
            max_length=63,
            value_kind="label",
        ),
        Field(
            name="senderId",
            label="Sender ID",
            secret=False,
            pattern=r"^(?=.*[A-Za-z])[A-Za-z0-9]{1,11}$",
            hint="A sender ID usually has up to 11 letters and digits, with at least one letter.",
            max_length=64,
        ),
    ),
)

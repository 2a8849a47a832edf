"""What the config names by file: secrets, and the certificate authorities that are trusted."""

from __future__ import annotations

import ssl
from pathlib import Path

from agent.config.file import Config, ConfigError, why


def read_secret(path: Path) -> str:
    """The text of a secret file without its line end. Raises ConfigError when it is missing, empty or
    readable by everybody.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the secret cannot be read: {why(error)}") from None
    if not text:
        raise ConfigError(f"{path}: the secret file is empty")
    if mode & 0o007:
        raise ConfigError(f"{path}: everybody on this host can read it; run: chmod o-rwx {path}")
    return text


def check_cloud_ca(config: Config) -> None:
    """Raises ConfigError when nothing can be known of the cloud by the file that says what its certificate is of."""
    if config.cloud.ca_file is None:
        check_ca_file(config.cloud_ca, "the cloud's authority: enrol again, with a new code")
    else:
        check_ca_file(config.cloud.ca_file)


def check_ca_file(path: Path | None, name: str = "ca_file") -> None:
    """Raises ConfigError, which names the file and what it is, when it holds no certificate authority."""
    if path is None:
        return
    try:
        ssl.create_default_context(cafile=str(path))
    except ssl.SSLError:
        raise ConfigError(f"{path} ({name}) holds no certificate in PEM") from None
    except OSError as error:
        raise ConfigError(f"{path} ({name}) cannot be read: {why(error)}") from None

"""eucanetd as a process: `python -m eucapy_services.eucanetd.main --config etc/eucanetd.toml`."""

from __future__ import annotations

from eucapy.eucanetd.app import EucanetdApp
from eucapy.eucanetd.config import Config
from eucapy.process import forever, run_daemon


async def serve(config: Config) -> None:
    """Run until cancelled; guests keep their network, and the next start takes it up as it is."""
    app = EucanetdApp(config)
    await app.start()
    try:
        await forever()
    finally:
        await app.stop()


if __name__ == "__main__":
    run_daemon("eucanetd", Config, serve)

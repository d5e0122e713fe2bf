"""Whether a door serves: `python -m eil_gateway.probe [URL]`, or the image's health check. 0 is yes."""

import os
import ssl
import sys
from urllib.error import URLError
from urllib.request import urlopen

PORT = "9090"
"""Where Envoy says that it is ready, if EIL_GATEWAY_FIGURES_PORT says nothing else."""


def main() -> int:
    """Ask a URL; its certificate is not looked at, since a probe comes by another name than clients do."""
    ready = f"http://127.0.0.1:{os.environ.get('EIL_GATEWAY_FIGURES_PORT', PORT)}/ready"
    url = sys.argv[1] if len(sys.argv) > 1 else ready
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with urlopen(url, timeout=5, context=context) as answer:
            return 0 if answer.status == 200 else 1
    except (URLError, OSError) as error:
        print(f"{url} does not answer: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())

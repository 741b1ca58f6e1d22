"""``python -m midge.zmq.curve_keygen``: print a new pair of keys."""

from __future__ import annotations

import argparse
import json

from midge.zmq.curve import curve_keypair, curve_public


def main() -> None:
    """Print the keys."""
    parser = argparse.ArgumentParser(
        "python3 -m midge.zmq.curve_keygen", description="Print a new pair of keys for CURVE."
    )
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--secret", help="print the public key of this secret one")
    given = parser.parse_args()
    if given.secret:
        secret = given.secret.encode()
        public = curve_public(secret)
    else:
        public, secret = curve_keypair()
    if given.json:
        print(json.dumps({"public": public.decode(), "secret": secret.decode()}))
        return
    print("A pair of keys for CURVE, as Z85 text. Keep the secret one to yourself.\n")
    print(f"== CURVE PUBLIC KEY ==\n{public.decode()}\n")
    print(f"== CURVE SECRET KEY ==\n{secret.decode()}")


if __name__ == "__main__":
    main()

"""``python -m midge.zmq.curve_keygen``: print a new pair of keys."""

from __future__ import annotations

from midge.zmq.curve import curve_keypair


def main() -> None:
    """Print the keys."""
    public, secret = curve_keypair()
    print("A pair of keys for CURVE, as Z85 text. Keep the secret one to yourself.\n")
    print(f"CURVE_PUBLICKEY={public.decode()}")
    print(f"CURVE_SECRETKEY={secret.decode()}")


if __name__ == "__main__":
    main()

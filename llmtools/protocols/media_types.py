"""MIME types: their usual spelling, and those of images and sounds by their first bytes."""

from __future__ import annotations

_IMAGES = ((b"\x89PNG", "image/png"), (b"\xff\xd8", "image/jpeg"), (b"RIFF", "image/webp"), (b"GIF8", "image/gif"))
_SOUNDS = ((b"RIFF", "audio/wav"), (b"ID3", "audio/mpeg"), (b"\xff", "audio/mpeg"), (b"fLaC", "audio/flac"))


_USUAL_NAMES = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png"}


def usual_type(kind: str) -> str:
    """Return a MIME type in the spelling that vendors take, without parameters: `Image/JPG` is `image/jpeg`."""
    plain = kind.partition(";")[0].strip().lower()
    return _USUAL_NAMES.get(plain, plain)


def bytes_of_base64(text: str) -> bytes:
    """Return the bytes that base64 encodes, b"" if the text is not base64."""
    from binascii import a2b_base64

    try:
        return a2b_base64(text)
    except ValueError:  # also for a text that is not ASCII
        return b""


def image_type(data: bytes, default: str = "image/png") -> str:
    """Return the MIME type of an image, `default` if its first bytes are not known."""
    return next((kind for magic, kind in _IMAGES if data.startswith(magic)), default)


def sound_type(data: bytes) -> str:
    """Return the MIME type of a sound. Sound without a header is raw: audio/pcm."""
    return next((kind for magic, kind in _SOUNDS if data.startswith(magic)), "audio/pcm")

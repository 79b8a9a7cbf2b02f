"""What an OTLP body may be compressed with, by the name that headers give it."""
import ctypes
import ctypes.util
import gzip
import zlib


def zstd(raw):
    """One zstd frame, by the system's library (Python has none of its own)."""
    library = ctypes.CDLL(ctypes.util.find_library("zstd") or "libzstd.so.1")
    library.ZSTD_compressBound.restype = library.ZSTD_compress.restype = ctypes.c_size_t
    library.ZSTD_compressBound.argtypes = [ctypes.c_size_t]
    library.ZSTD_compress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]
    out = ctypes.create_string_buffer(library.ZSTD_compressBound(len(raw)))
    size = library.ZSTD_compress(out, len(out), raw, len(raw), 3)
    assert not library.ZSTD_isError(ctypes.c_size_t(size))
    return out.raw[:size]


COMPRESS = {"identity": bytes, "gzip": lambda raw: gzip.compress(raw, 6), "deflate": zlib.compress, "zstd": zstd}

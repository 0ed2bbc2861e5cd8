// Fuzz entries over what is read from disk: any bytes may be there, none may crash the reader or run it out of memory.
#pragma once
#include <cstddef>
#include <cstdint>

// The bytes are a segment, then pending memory: read as recovery reads them, every event decoded.
int fuzz_journal(const uint8_t* data, size_t size);
// The bytes are an archive file, a manifest, a chunk, a keys file, and a leaf of the evidence log.
int fuzz_archive(const uint8_t* data, size_t size);
// The bytes are a signed note, a checkpoint, a verifier key, a proof, a tile's name, a bundle: each that is read is written
// again as it was.
int fuzz_tlog(const uint8_t* data, size_t size);

// Fuzz entry over what the signer reads of a taken engine: any bytes are a request, or an answer; what is read is written again as it was.
#pragma once
#include <cstddef>
#include <cstdint>

int fuzz_signer(const uint8_t* data, size_t size);

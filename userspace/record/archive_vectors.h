// Written by tests/reader/make_archive_vectors.py, which shares no line with what it tests.  Every key is plainly fake.  Do not edit.
#pragma once
#include <cstdint>
#include <string_view>

namespace weir::record::vectors {

inline constexpr uint64_t kSession = 4711;
inline constexpr uint32_t kPart = 2;
inline constexpr std::string_view kSessionKey = "1880548d340a7adacb74672a5561134b11bd9558ec450ae34d6632e86382528d";
inline constexpr std::string_view kAuditorPem = R"(-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VuBCIEIBp9oj7DHYxCsm5m7kJBVk8QfI6zS/Tg+6LTJ+qR9h7k
-----END PRIVATE KEY-----
)";
inline constexpr std::string_view kGatewayFile = R"(weir-key-1 ce59ccb574bafc92ae7541ed20754aa2cb17826bec233003f9b8cfb53039f2db
)";
inline constexpr std::string_view kKeysFile = R"({"commitment":"c5118050c8cad97607682d0b11341653b8eeea242c0b8bcaa564dba6a7d1a9dd","format":"weir keys 1","part":2,"session":4711,"wraps":[{"for":"gateway","key":"173c843f57044fb3","salt":"c4359e4c5e01ed4d1c9a34154e8aa1dfef7fc12d9ab37956f20304b0a5fa047b","wrapped":"b860eeb4ebe82fec6d78306600a288f986abdfb4854ea2dbd26256b8c4af873750556dcc89261e0ccb607461322ee6c8"},{"ephemeral":"eb43404a404cbc0b596eaba90505f6cb67e62bc829c260512c1dee89e7d6dc10","for":"auditor","key":"9b97d698349d334c","wrapped":"711b9be69e5bc84639300d3937bce1875b4b183227a3cc89f1a547355b9cc05261b49d2e399e2510924f24931abd01ff"}]})";
inline constexpr std::string_view kArchiveHeader = "5745495241524331020001010000000067120000000000000200000000000000c5118050c8cad97607682d0b11341653b8eeea242c0b8bcaa564dba6a7d1a9dd";
inline constexpr std::string_view kChunk = "43484e4b43000000010000002a00000003000000000000000000000000000000daa2888b663bb71405ca8f62834a488fd5f8a7c17135bb50d30f8bccc94e9c4606f858e326bd84e4f7b58be337fe60eddd0591ac204aca6c959fa376742f1e3b2ec479";
inline constexpr std::string_view kChunkPlain = "a chunk that is no frame, in one raw block";
inline constexpr std::string_view kEndChunk = "43484e4b10000000000000000000000004000000000000000100000000000000a034fba811dc29af1e137724e7e1e593";

}  // namespace weir::record::vectors

// PostgreSQL type OIDs (src/include/catalog/pg_type.dat) by what a masked value of them may look like.
#pragma once
#include <cstdint>

namespace weir::mask {

enum class TypeClass : uint8_t {
  kText,     // Any bytes of the client's encoding.
  kInteger,  // Decimal digits; 2, 4 or 8 bytes in binary.
  kNumber,   // Decimal digits with a point; numeric and floats.
  kUuid,
  kBytea,
  kJson,
  kJsonb,  // As json; binary has a version byte before the text.
  kOther,  // Dates, booleans, arrays, networks, ...: only NULL is safe for a whole value.
};

constexpr uint32_t kFirstUserOid = 16384;  // FirstNormalObjectId: enums, extensions' types, composites.

constexpr TypeClass type_class(uint32_t oid) {
  switch (oid) {
    case 0:     // Not told.
    case 18:    // "char"
    case 19:    // name
    case 25:    // text
    case 705:   // unknown
    case 1042:  // bpchar
    case 1043:  // varchar
    case 2275:  // cstring
      return TypeClass::kText;
    case 20:  // int8
    case 21:  // int2
    case 23:  // int4
    case 26:  // oid
      return TypeClass::kInteger;
    case 700:   // float4
    case 701:   // float8
    case 1700:  // numeric
      return TypeClass::kNumber;
    case 2950:
      return TypeClass::kUuid;
    case 17:
      return TypeClass::kBytea;
    case 114:
      return TypeClass::kJson;
    case 3802:
      return TypeClass::kJsonb;
    default:
      return oid >= kFirstUserOid ? TypeClass::kText : TypeClass::kOther;
  }
}

}  // namespace weir::mask

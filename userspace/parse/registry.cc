#include "parse/registry.h"

#include <array>

namespace weir {

#define WEIR_PROTOCOL(name) extern const ProtocolModule k_##name##_module;
#include "parse/registry.def"
#undef WEIR_PROTOCOL

namespace {
constexpr std::array kModules = {
#define WEIR_PROTOCOL(name) &k_##name##_module,
#include "parse/registry.def"
#undef WEIR_PROTOCOL
};
}  // namespace

std::span<const ProtocolModule* const> protocol_modules() { return kModules; }

const ProtocolModule* find_protocol(std::string_view name) {
  for (const ProtocolModule* module : kModules) {
    if (module->name == name) return module;
  }
  return nullptr;
}

}  // namespace weir

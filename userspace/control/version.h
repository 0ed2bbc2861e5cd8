// The version of this build: as in CMakeLists.txt, which a test holds it to.
#pragma once

namespace weir::control {

inline constexpr const char* kVersion = "0.1.0";

}  // namespace weir::control

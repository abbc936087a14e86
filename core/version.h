// The version of this build, from CMake's project().
#pragma once

namespace capstan {

inline constexpr char kVersion[] = CAPSTAN_VERSION;

}  // namespace capstan

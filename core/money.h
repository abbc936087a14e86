// Amounts of money for people.
#pragma once

#include <cstdint>
#include <string>

namespace capstan {

// "$4.50" for 4500000 millionths of a US dollar; four digits for less than a cent.
std::string Money(std::int64_t microusd);

}  // namespace capstan

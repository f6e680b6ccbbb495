#include "core/value.h"

#include "core/text.h"

namespace tidegate {
namespace {

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

}  // namespace

const char* to_string(ValueType type) {
  switch (type) {
    case ValueType::automatic:
      return "automatic";
    case ValueType::boolean:
      return "bool";
    case ValueType::int64:
      return "int64";
    case ValueType::uint64:
      return "uint64";
    case ValueType::float64:
      return "float64";
    case ValueType::text:
      return "text";
  }
  return "automatic";
}

bool as_number(const Value& value, double& number) {
  if (const auto* real = std::get_if<double>(&value)) {
    number = *real;
  } else if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    number = static_cast<double>(*integer);
  } else if (const auto* natural = std::get_if<std::uint64_t>(&value)) {
    number = static_cast<double>(*natural);
  } else if (const auto* flag = std::get_if<bool>(&value)) {
    number = *flag ? 1.0 : 0.0;
  } else {
    return false;
  }
  return true;
}

void append_json(std::string& out, const Value& value) {
  std::visit(Overloaded{[&](std::monostate) { out += "null"; }, [&](bool flag) { out += flag ? "true" : "false"; },
                        [&](const std::string& text) { append_json_string(out, text); },
                        [&](auto number) { append_number(out, number); }},
             value);
}

}  // namespace tidegate

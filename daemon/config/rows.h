#pragma once

// How the rows of the table of keys are written: each names a key, says where its value goes, and what is allowed.
// `access` is a pointer to a member, or a function from the owner to a reference.

#include <functional>
#include <initializer_list>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "daemon/config/schema.h"
#include "daemon/config/values.h"

namespace tidegate::daemon::rows {

template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};

template <class Target>
void put(Target& target, Setting& setting) {
  if constexpr (IsOptional<Target>::value) {
    put(target.emplace(), setting);
  } else if constexpr (std::is_integral_v<Target> && !std::is_same_v<Target, bool>) {
    target = static_cast<Target>(std::get<std::int64_t>(setting));
  } else {
    target = std::move(std::get<Target>(setting));
  }
}

inline Key row(std::string name, KeyType type, double least, double most) {
  Key key;
  key.name = std::move(name);
  key.type = type;
  key.least = least;
  key.most = most;
  return key;
}

template <class Owner, class Access>
Key plain(std::string name, KeyType type, Access access, double least, double most) {
  Key key = row(std::move(name), type, least, most);
  key.store = [access](void* owner, Setting& setting) -> Result<void> {
    put(std::invoke(access, *static_cast<Owner*>(owner)), setting);
    return {};
  };
  return key;
}

constexpr double kTextBytesMax = 4096;

template <class Owner, class Access>
Key text(std::string name, Access access) {
  return plain<Owner>(std::move(name), KeyType::text, access, 1, kTextBytesMax);
}
template <class Owner, class Access>
Key boolean(std::string name, Access access) {
  return plain<Owner>(std::move(name), KeyType::boolean, access, 0, 1);
}
template <class Owner, class Access>
Key integer(std::string name, Access access, std::int64_t least, std::int64_t most) {
  return plain<Owner>(std::move(name), KeyType::integer, access, static_cast<double>(least), static_cast<double>(most));
}
template <class Owner, class Access>
Key number(std::string name, Access access, double least, double most) {
  return plain<Owner>(std::move(name), KeyType::number, access, least, most);
}
template <class Owner, class Access>
Key size(std::string name, Access access, std::uint64_t least, std::uint64_t most) {
  return plain<Owner>(std::move(name), KeyType::size, access, static_cast<double>(least), static_cast<double>(most));
}
template <class Owner, class Access>
Key duration(std::string name, Access access, Duration least, Duration most) {
  return plain<Owner>(std::move(name), KeyType::duration, access, static_cast<double>(least.count()),
                      static_cast<double>(most.count()));
}
template <class Owner, class Access>
Key texts(std::string name, Access access) {
  return plain<Owner>(std::move(name), KeyType::texts, access, 1, kTextBytesMax);
}
template <class Owner, class Access>
Key file(std::string name, Access access) {
  return plain<Owner>(std::move(name), KeyType::file, access, 1, kTextBytesMax);
}
template <class Owner, class Access>
Key secret(std::string name, Access access) {
  return plain<Owner>(std::move(name), KeyType::secret, access, 1, kTextBytesMax);
}
template <class Owner, class Access>
Key secret_file(std::string name, Access access) {
  return plain<Owner>(std::move(name), KeyType::secret_file, access, 1, kTextBytesMax);
}

template <class Owner, class Access>
Key headers(std::string name, Access access) {
  return plain<Owner>(std::move(name), KeyType::headers, access, 1, kTextBytesMax);
}

/// A secret that is read again later, with KeyType::text_or_secret also a text; `access` gives an uplink::HttpHeader.
template <class Owner, class Access>
Key kept_secret(std::string name, Access access, KeyType type = KeyType::kept_secret) {
  Key key = row(std::move(name), type, 1, kTextBytesMax);
  key.store = [access](void* owner, Setting& setting) -> Result<void> {
    std::invoke(access, *static_cast<Owner*>(owner)) =
        std::move(std::get<std::vector<uplink::HttpHeader>>(setting).front());
    return {};
  };
  return key;
}

/// A text that `parse(text, owner)` reads; its error says what is wrong.
template <class Owner, class Parse>
Key parsed(std::string name, Parse parse) {
  Key key = row(std::move(name), KeyType::text, 1, kTextBytesMax);
  key.store = [parse](void* owner, Setting& setting) -> Result<void> {
    return parse(std::get<std::string>(setting), *static_cast<Owner*>(owner));
  };
  return key;
}

/// A text that `check(text)` finds right or wrong.
template <class Owner, class Access, class Check>
Key checked(std::string name, Access access, Check check) {
  return parsed<Owner>(std::move(name), [access, check](const std::string& value, Owner& owner) -> Result<void> {
    if (auto good = check(value); !good) return good;
    std::invoke(access, owner) = value;
    return {};
  });
}

/// A list of texts, each of which `check(text)` finds right or wrong.
template <class Owner, class Access, class Check>
Key checked_texts(std::string name, Access access, Check check) {
  Key key = row(std::move(name), KeyType::texts, 1, kTextBytesMax);
  key.store = [access, check](void* owner, Setting& setting) -> Result<void> {
    auto& values = std::get<std::vector<std::string>>(setting);
    for (const std::string& value : values) {
      if (auto good = check(value); !good) return good;
    }
    std::invoke(access, *static_cast<Owner*>(owner)) = std::move(values);
    return {};
  };
  return key;
}

/// A list of texts, each of which `parse(text)` makes a value of.
template <class Owner, class Access, class Parse>
Key parsed_texts(std::string name, Access access, Parse parse) {
  Key key = row(std::move(name), KeyType::texts, 1, kTextBytesMax);
  key.store = [access, parse](void* owner, Setting& setting) -> Result<void> {
    auto& values = std::invoke(access, *static_cast<Owner*>(owner));
    values.clear();
    for (const std::string& text : std::get<std::vector<std::string>>(setting)) {
      auto value = parse(text);
      if (!value) return tl::unexpected(value.error());
      values.push_back(std::move(*value));
    }
    return {};
  };
  return key;
}

template <class Enum>
using Words = std::vector<std::pair<std::string, Enum>>;

/// One of several words, each with the value it stands for.
template <class Owner, class Enum, class Access>
Key choice(std::string name, Access access, Words<Enum> words) {
  Key key = row(std::move(name), KeyType::word, 0, 0);
  for (const auto& [word, value] : words) key.words.push_back(word);
  key.store = [access, words = std::move(words)](void* owner, Setting& setting) -> Result<void> {
    std::invoke(access, *static_cast<Owner*>(owner)) = words.at(std::get<WordIndex>(setting).index).second;
    return {};
  };
  return key;
}

/// A list of words, each with the value it stands for.
template <class Owner, class Enum, class Access>
Key choices(std::string name, Access access, Words<Enum> words) {
  Key key = row(std::move(name), KeyType::words, 0, 0);
  for (const auto& [word, value] : words) key.words.push_back(word);
  key.store = [access, words = std::move(words)](void* owner, Setting& setting) -> Result<void> {
    auto& values = std::invoke(access, *static_cast<Owner*>(owner));
    values.clear();
    for (const WordIndex word : std::get<std::vector<WordIndex>>(setting))
      values.push_back(words.at(word.index).second);
    return {};
  };
  return key;
}

/// A key that can say only one thing in this version, which is what happens without it.
inline Key only_word(std::string name, std::string word) {
  Key key = row(std::move(name), KeyType::word, 0, 0);
  key.words = {std::move(word)};
  key.store = [](void*, Setting&) -> Result<void> { return {}; };
  const char* const by_itself = key.words.front().c_str();  // of the vector's memory, which moves along
  return std::move(key).by_default(by_itself);
}

/// A key that the interface promises and this version refuses.
inline Key later(std::string name, std::string instead) {
  Key key = row(std::move(name), KeyType::text, 0, 0);
  key.later = std::move(instead);
  return key;
}

/// The name of a driver; unique over all kinds of drivers.
template <class Owner>
Key driver_name_key() {
  return checked<Owner>("name", &Owner::name, check_name)
      .required()
      .must_be(kNameForm)
      .example("\"line-1\"")
      .says("The driver's name; no other driver may have it.");
}

template <class Owner>
std::function<void(void*, const Scope&)> finish(void (*check)(Owner&, const Scope&)) {
  return [check](void* self, const Scope& scope) { check(*static_cast<Owner*>(self), scope); };
}

/// A table whose values go into what `access` gives of the owner.
template <class Parent, class Access>
Section table(std::string name, Access access, std::string doc) {
  Section section;
  section.name = std::move(name);
  section.doc = std::move(doc);
  section.open = [access](void* parent) -> void* { return &std::invoke(access, *static_cast<Parent*>(parent)); };
  return section;
}

/// An array of tables; each adds an element to the vector that `access` gives of the owner.
template <class Parent, class Access>
Section list(std::string name, Access access, std::string doc) {
  Section section;
  section.name = std::move(name);
  section.doc = std::move(doc);
  section.is_list = true;
  section.open = [access](void* parent) -> void* {
    return &std::invoke(access, *static_cast<Parent*>(parent)).emplace_back();
  };
  return section;
}

}  // namespace tidegate::daemon::rows

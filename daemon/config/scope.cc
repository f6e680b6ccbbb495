#include "daemon/config/scope.h"

#include <utility>

#include "core/text.h"

namespace tidegate::daemon {
namespace {

std::string taken_message(const std::string& what, const std::string& value, const LoadState::Owner& owner) {
  return what + " \"" + clip(value) + "\" is already taken by " + owner.key + " at " + to_string(owner.place);
}

}  // namespace

void LoadState::report(ProblemKind kind, const Place& place, std::string key, std::string message) {
  problems.push_back(Problem{place.file ? *place.file : std::string(), place.line, place.column, std::move(key),
                             std::move(message), kind});
}

bool Scope::is_sound(std::string_view key) const {
  const Member* member = node_->find(key);
  return member == nullptr || state_->wrong.count(&member->node) == 0;
}

std::string Scope::found(std::string_view key) const {
  const Member* member = node_->find(key);
  return member != nullptr ? describe(member->node) : "nothing";
}

std::string Scope::key_path(std::string_view key) const {
  if (key.empty()) return path_;
  return (path_.empty() ? "" : path_ + ".") + std::string(key);
}

void Scope::report(ProblemKind kind, std::string_view key, std::string message) const {
  const Member* member = node_->find(key);
  if (member != nullptr && kind == ProblemKind::error) state_->wrong.insert(&member->node);
  state_->report(kind, member != nullptr ? member->node.place : node_->place, key_path(key), std::move(message));
}

void Scope::wrong(std::string_view key, std::string message) const {
  report(ProblemKind::error, key, std::move(message));
}

void Scope::odd(std::string_view key, std::string message) const {
  report(ProblemKind::warning, key, std::move(message));
}

void Scope::claim(const std::string& what, const std::string& value, std::string_view key,
                  const std::string& advice) const {
  const auto [owner, is_new] = take(what, value, "", key);
  if (!is_new) wrong(key, taken_message(what, value, *owner) + "; " + advice);
}

void Scope::claim_name(const std::string& kind) const {
  const Member* name = node_->find("name");
  if (name != nullptr && is_sound("name")) claim(kind + " name", name->node.text, "name", "choose another name");
}

void Scope::claim_tag(const std::string& path, const std::string& driver, std::string_view key) const {
  const auto [owner, is_new] = take("tag", path, driver, key);
  if (is_new) state_->tags.push_back(path);
  if (owner->name != driver) wrong(key, taken_message("tag", path, *owner) + "; a tag has one driver");
}

std::pair<const LoadState::Owner*, bool> Scope::take(const std::string& what, const std::string& value,
                                                     const std::string& name, std::string_view key) const {
  const Member* member = node_->find(key);
  LoadState::Owner owner{name, key_path(key), member != nullptr ? member->node.place : node_->place};
  const auto [at, is_new] = state_->taken.try_emplace(what + '\n' + value, std::move(owner));
  return {&at->second, is_new};
}

Scope Scope::table(std::string_view key) const {
  const Member* member = node_->find(key);
  return Scope(*state_, member != nullptr ? member->node : *node_, key_path(key));
}

Scope Scope::item(std::string_view key, std::size_t index) const {
  const std::string path = key_path(key) + "[" + std::to_string(index) + "]";
  const Member* member = node_->find(key);
  if (member == nullptr || index >= member->node.items.size()) return Scope(*state_, *node_, path);
  return Scope(*state_, member->node.items[index], path);
}

}  // namespace tidegate::daemon

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <tuple>
#include <utility>

#include "core/text.h"
#include "daemon/config/config.h"
#include "daemon/config/files.h"
#include "daemon/config/fill.h"
#include "daemon/config/settings_text.h"

namespace tidegate::daemon {
namespace {

constexpr std::size_t kFileBytesMax = std::size_t{16} << 20;

// The main file with what it includes, as one document.
class Merger {
 public:
  explicit Merger(std::vector<Problem>& problems) : problems_(problems) {}

  Node read(const std::string& path) {
    Node document = read_one(path);
    has_main_file_ = problems_.empty();
    const Member* include = document.find("include");
    if (include == nullptr || include->node.kind != Node::Kind::array) return document;  // its row complains
    const Node patterns = include->node;
    for (std::size_t i = 0; i < patterns.items.size(); ++i) {
      if (patterns.items[i].kind == Node::Kind::text) {
        include_files(document, patterns.items[i], "include[" + std::to_string(i) + "]");
      }
    }
    return document;
  }

  const std::vector<std::string>& files() const { return files_; }
  bool has_main_file() const { return has_main_file_; }

 private:
  Node read_one(const std::string& path) {
    files_.push_back(path);
    const auto text = read_small_file(path, kFileBytesMax);
    if (!text) {
      problems_.push_back(Problem{path, 1, 1, "", text.error().message});
      return Node{};
    }
    auto document = parse_document(*text, path);
    if (document) return std::move(*document);
    problems_.push_back(document.error());
    return Node{};
  }

  void wrong(const Place& place, std::string key, std::string message) {
    problems_.push_back(Problem{*place.file, place.line, place.column, std::move(key), std::move(message)});
  }

  void include_files(Node& document, const Node& pattern, const std::string& key) {
    const auto paths = matching_files(beside(pattern.place, pattern.text));
    if (!paths) return wrong(pattern.place, key, paths.error().message);
    for (const std::string& path : *paths) {
      if (std::find(files_.begin(), files_.end(), path) != files_.end()) {
        wrong(pattern.place, key, clip(path, 200) + " is read twice");
        continue;
      }
      Node included = read_one(path);
      if (const Member* nested = included.find("include")) {
        wrong(nested->place, "include", "is allowed only in " + clip(*pattern.place.file, 200));
        continue;
      }
      merge(document, std::move(included), "");
    }
  }

  // Tables are joined, arrays of tables appended; anything else may be set once.
  void merge(Node& into, Node from, const std::string& path) {
    for (Member& member : from.members) {
      const auto same = std::find_if(into.members.begin(), into.members.end(),
                                     [&](const Member& other) { return other.name == member.name; });
      const std::string key = (path.empty() ? "" : path + ".") + clip(member.name);
      if (same == into.members.end()) {
        into.members.push_back(std::move(member));
      } else if (same->node.kind == Node::Kind::table && member.node.kind == Node::Kind::table) {
        merge(same->node, std::move(member.node), key);
      } else if (same->node.is_array_of_tables() && member.node.is_array_of_tables()) {
        std::move(member.node.items.begin(), member.node.items.end(), std::back_inserter(same->node.items));
      } else {
        wrong(member.place, key, "is already set at " + to_string(same->place));
      }
    }
  }

  std::vector<Problem>& problems_;
  std::vector<std::string> files_;
  bool has_main_file_ = false;
};

// In the order of the files as they were read, then of their lines.
void sort_problems(std::vector<Problem>& problems, const std::vector<std::string>& files) {
  const auto rank = [&](const Problem& problem) { return std::find(files.begin(), files.end(), problem.file); };
  std::stable_sort(problems.begin(), problems.end(), [&](const Problem& a, const Problem& b) {
    return std::make_tuple(rank(a), a.line, a.column) < std::make_tuple(rank(b), b.line, b.column);
  });
}

bool is_error(const Problem& problem) { return problem.kind == ProblemKind::error; }

tl::expected<Config, std::vector<Problem>> load(const std::string& path, const Config* running) {
  LoadState state;
  state.running = running;
  Merger merger(state.problems);
  const Node document = merger.read(path);
  state.has_open_tags = !state.problems.empty();  // of files that could not be read
  if (merger.has_main_file()) fill(key_table(), &state.config, document, "", state);
  state.config.buffer.ring.directory = state.config.gateway.data_dir + "/log";
  const bool has_errors = std::any_of(state.problems.begin(), state.problems.end(), is_error);
  // Errors first when there are too many to show.
  std::stable_partition(state.problems.begin(), state.problems.end(), is_error);
  if (state.problems.size() > LoadState::kProblemsMax) state.problems.resize(LoadState::kProblemsMax);
  sort_problems(state.problems, merger.files());
  if (has_errors) return tl::unexpected(std::move(state.problems));
  state.config.warnings = std::move(state.problems);
  state.config.sections = settings_of(document);
  state.config.file = std::filesystem::absolute(path).lexically_normal().string();
  return std::move(state.config);
}

}  // namespace

tl::expected<Config, std::vector<Problem>> load_config(const std::string& path) { return load(path, nullptr); }

tl::expected<Config, std::vector<Problem>> load_config_beside(const std::string& path, const Config& running) {
  return load(path, &running);
}

tl::expected<GatewayOptions, std::vector<Problem>> load_gateway_options(const std::string& path) {
  LoadState state;
  state.leaves_secrets = true;
  Merger merger(state.problems);
  const Node document = merger.read(path);
  const Section* section = key_table().section("gateway");
  const Member* gateway = document.find("gateway");
  if (state.problems.empty() && gateway != nullptr && gateway->node.kind != Node::Kind::table) {
    state.report(ProblemKind::error, gateway->node.place, "gateway", "must be a table, [gateway]");
  }
  const Node& node = gateway != nullptr ? gateway->node : Node{};
  if (state.problems.empty()) fill(*section, &state.config.gateway, node, "gateway", state);
  if (!state.problems.empty()) return tl::unexpected(std::move(state.problems));
  return std::move(state.config.gateway);
}

std::string format_problem(const Problem& problem) {
  std::string out = clip(problem.file, 400) + ":" + std::to_string(problem.line) + ":" + std::to_string(problem.column);
  out += problem.kind == ProblemKind::error ? ": error: " : ": warning: ";
  if (!problem.key.empty()) out += problem.key + ": ";
  return out + problem.message;
}

}  // namespace tidegate::daemon

#pragma once

#include <cstdint>
#include <span>

namespace tidegate::fuzz {

/// What is fuzzed. An input that breaks a promise of the code aborts the process, whatever the build.

/// A segment image (segment_image.h) as the only file of a log: opened, read in every way, appended to, opened again.
void read_segment(std::span<const std::uint8_t> input);

/// The first byte chooses: the state database, its write-ahead log behind a whole database, the rules' saved state,
/// the packing around it, a gap document, the journal of a listener's sessions. The rest is the content.
void load_state(std::span<const std::uint8_t> input);

/// What a client sends to the listener, or one packet. The first byte chooses: a stream as it is; packets of header,
/// length and body, whose lengths are made right; one such packet, read and written again. The second says how often
/// messages become durable, and the version of a single packet.
void read_mqtt(std::span<const std::uint8_t> input);

/// A payload. The first byte chooses the subscription that it is read for, and whether a topic stands before it.
void read_payload(std::span<const std::uint8_t> input);

/// What two Sparkplug nodes and their devices send, as messages of a byte that chooses the topic, one of the length,
/// and a payload.
void read_sparkplug(std::span<const std::uint8_t> input);

}  // namespace tidegate::fuzz

#include "buffer/dense_codec.h"

#include <gtest/gtest.h>

#include <bit>
#include <random>

#include "buffer/batch_decoder.h"
#include "tests/buffer/codec_fixture.h"
#include "tests/buffer/modelled_readings.h"

namespace tidegate::buffer {
namespace {

struct DenseFrame {
  FrameHeader header;
  std::vector<std::byte> body;
};

class DenseCodecTest : public CodecFixture {
 protected:
  static FrameTimes times(std::int64_t milliseconds) {
    return {WallTime(std::chrono::seconds(1'760'000'000) + std::chrono::milliseconds(milliseconds)),
            BootTime(std::chrono::milliseconds(milliseconds)), ClockQuality::synced};
  }
  static RecordBatch batch_of(std::vector<Reading> readings, std::uint64_t first = 1, FrameTimes at = times(0)) {
    RecordBatch batch;
    batch.epoch = 3;
    batch.first = first;
    batch.times = at;
    batch.readings = std::move(readings);
    return batch;
  }

  /// As many dense frames as the batches need.
  std::vector<DenseFrame> encode(const std::vector<RecordBatch>& batches) {
    DenseEncoder encoder(tags_, batches.at(0).stream);
    std::vector<DenseFrame> frames;
    std::uint64_t first = batches.at(0).first;
    const auto finish = [&] {
      DenseFrame frame;
      frame.header.first = first;
      frame.header.epoch = batches.at(0).epoch;
      OutBuffer out;
      encoder.finish(frame.header, boot_id_, {}, out);
      frame.header.body_bytes = static_cast<std::uint32_t>(out.size());
      frame.body.assign(out.view().begin(), out.view().end());
      first = frame.header.end();
      frames.push_back(std::move(frame));
    };
    for (const RecordBatch& batch : batches) {
      for (std::size_t done = 0; done < batch.size();) {
        const std::size_t taken = encoder.add(batch, done);
        if (taken == 0) finish();
        done += taken;
      }
    }
    finish();
    return frames;
  }

  std::vector<RecordBatch> decode(const std::vector<DenseFrame>& frames, Stream stream = Stream::readings) {
    std::vector<RecordBatch> batches;
    for (const DenseFrame& frame : frames) {
      EXPECT_EQ(decoder_.open(frame.header, frame.body, tags_), DecodeStatus::ok);
      for (std::uint64_t at = frame.header.first; at < frame.header.end();) {
        RecordBatch batch;
        batch.stream = stream;
        decoder_.read(at, batch);
        EXPECT_GT(batch.size(), 0U);
        if (batch.size() == 0) return batches;
        at = batch.end().sequence;
        batches.push_back(std::move(batch));
      }
    }
    return batches;
  }

  /// Every record comes back as it was, with the times of its frame; returns the bytes of all frames.
  std::size_t expect_round_trip(const std::vector<RecordBatch>& batches) {
    const auto frames = encode(batches);
    const auto decoded = decode(frames);
    std::size_t index = 0;
    std::size_t in_batch = 0;
    for (const RecordBatch& batch : decoded) {
      for (std::size_t i = 0; i < batch.size(); ++i) {
        if (in_batch == batches[index].size()) {
          ++index;
          in_batch = 0;
        }
        const RecordBatch& original = batches.at(index);
        EXPECT_EQ(batch.epoch, original.epoch);
        EXPECT_EQ(batch.first + i, original.first + in_batch);
        EXPECT_TRUE(same_reading(batch.readings[i], original.readings[in_batch])) << "record " << batch.first + i;
        if (i == 0) {
          EXPECT_EQ(batch.times.wall, original.times.wall);
          EXPECT_EQ(batch.times.boot, original.times.boot);
        }
        EXPECT_EQ(batch.times.quality, original.times.quality);
        ++in_batch;
      }
      if (HasFailure()) return 0;
    }
    EXPECT_EQ(decoded.back().end().sequence, batches.back().end().sequence);
    std::size_t bytes = 0;
    for (const DenseFrame& frame : frames) bytes += frame.header.frame_bytes();
    return bytes;
  }

  double bytes_a_reading(const ModelledData& data) {
    return static_cast<double>(expect_round_trip(data.frames)) / static_cast<double>(data.records);
  }

  DenseDecoder decoder_;
  BootId boot_id_{1, 2, 3};
};

TEST_F(DenseCodecTest, KeepsEveryKindOfValue) {
  std::vector<Reading> all;
  for (const Value& value : every_kind_of_value()) {
    expect_round_trip({batch_of({reading("a/b", value)})});
    for (int i = 0; i < 3; ++i) all.push_back(reading("a/b", value));
    all.push_back(reading("a/" + std::to_string(all.size()), value));
  }
  expect_round_trip({batch_of(all)});
}

TEST_F(DenseCodecTest, KeepsEveryQualityReasonAndOrigin) {
  expect_round_trip({batch_of(every_quality_reason_and_origin())});
}

TEST_F(DenseCodecTest, KeepsTimesOfAnyKindAndOrder) {
  for (const std::size_t tags : {3U, 7U}) {
    for (const auto& readings : times_of_any_kind_and_order(tags)) expect_round_trip({batch_of(readings)});
  }
}

TEST_F(DenseCodecTest, KeepsTheTimesOfEveryFrame) {
  std::vector<RecordBatch> batches;
  std::mt19937_64 random(7);
  std::uint64_t first = 1;
  FrameTimes at = times(0);
  for (int i = 0; i < 500; ++i) {
    at.boot += std::chrono::milliseconds(10 * (random() % 4));
    at.wall += Duration(random() % 40'000'000);
    if (random() % 50 == 0) at.wall -= std::chrono::hours(1);
    if (random() % 90 == 0) at.wall += std::chrono::hours(24 * 1000);
    at.quality = static_cast<ClockQuality>(random() % 8 == 0 ? random() % 3 : 2);
    std::vector<Reading> readings;
    for (std::uint64_t k = 0; k <= random() % 3; ++k) readings.push_back(reading("a/b", std::uint64_t{first}));
    batches.push_back(batch_of(readings, first, at));
    first = batches.back().end().sequence;
  }
  for (const RecordBatch& batch : batches) {
    for (const DenseFrame& frame : encode({batch})) {
      EXPECT_EQ(frame.header.times.wall, batch.times.wall);
      EXPECT_EQ(frame.header.wall_span_ms, 0U);
    }
  }
  expect_round_trip(batches);
}

TEST_F(DenseCodecTest, NeverStoresATimeOutsideOfWhatTheHeaderSays) {
  std::vector<RecordBatch> batches;
  std::mt19937_64 random(8);
  for (std::uint64_t i = 0; i < 300; ++i) {
    FrameTimes at = times(static_cast<std::int64_t>(i) * 100);
    if (random() % 20 == 0) at.wall -= std::chrono::seconds(random() % 100'000'000);
    batches.push_back(batch_of({reading("a/b", i)}, i + 1, at));
  }
  for (const DenseFrame& frame : encode(batches)) {
    for (std::uint64_t at = frame.header.first; at < frame.header.end(); ++at) {
      const WallTime wall = batches[static_cast<std::size_t>(at - 1)].times.wall;
      EXPECT_GE(wall, frame.header.times.wall);
      EXPECT_LE(wall, frame.header.wall_to());
    }
  }
}

TEST_F(DenseCodecTest, FindsTheFirstRecordThatWasTakenInAtATime) {
  std::vector<RecordBatch> batches;
  for (std::uint64_t i = 0; i < 20; ++i) {
    const std::vector<Reading> readings(3, reading("a/b", i));
    batches.push_back(batch_of(readings, 1 + 3 * i, times(static_cast<std::int64_t>(i) * 100)));
  }
  const auto frames = encode(batches);
  ASSERT_EQ(frames.size(), 1U);
  const auto find = [&](std::int64_t milliseconds) {
    return DenseDecoder::first_taken_in_at(times(milliseconds).wall, frames[0].header, frames[0].body);
  };
  EXPECT_EQ(find(-5), 1U);
  EXPECT_EQ(find(0), 1U);
  EXPECT_EQ(find(1), 4U);
  EXPECT_EQ(find(1900), 58U);
  EXPECT_EQ(find(1901), std::nullopt);
}

TEST_F(DenseCodecTest, ReadsFromAnyRecordOn) {
  const ModelledData data = modbus_integers(tags_, 4000);
  const auto frames = encode(data.frames);
  ASSERT_EQ(frames.size(), 1U);
  ASSERT_EQ(decoder_.open(frames[0].header, frames[0].body, tags_), DecodeStatus::ok);
  for (std::uint64_t at = 1; at <= data.records; ++at) {
    RecordBatch batch;
    decoder_.read(at, batch);
    ASSERT_EQ(batch.first, at);
    ASSERT_EQ(batch.end().sequence, (at + 39) / 40 * 40 + 1) << "to the end of its frame";
    ASSERT_TRUE(same_reading(
        batch.readings[0],
        data.frames[static_cast<std::size_t>((at - 1) / 40)].readings[static_cast<std::size_t>((at - 1) % 40)]));
  }
}

TEST_F(DenseCodecTest, ReadsSmallFramesOfOneMomentTogether) {
  std::vector<RecordBatch> batches;
  for (std::uint64_t i = 0; i < 1000; ++i) batches.push_back(batch_of({reading("a/b", i)}, i + 1));
  batches.push_back(batch_of({reading("a/b", std::uint64_t{1000})}, 1001, times(10)));
  const auto decoded = decode(encode(batches));
  ASSERT_EQ(decoded.size(), 2U) << "frames with the same times are one";
  EXPECT_EQ(decoded[0].size(), 1000U);
}

TEST_F(DenseCodecTest, KeepsDocuments) {
  std::mt19937_64 random(5);
  std::vector<RecordBatch> batches;
  std::uint64_t first = 1;
  for (int i = 0; i < 300; ++i) {
    RecordBatch batch = batch_of({}, first, times(i * 250));
    batch.stream = Stream::events;
    for (std::uint64_t k = 0; k <= random() % 2; ++k) {
      batch.documents.push_back("{\"event\":\"start\",\"n\":" + std::to_string(random()) + "}");
    }
    if (i % 100 == 0) batch.documents.push_back(std::string(200'000, 'y'));
    first = batch.end().sequence;
    batches.push_back(std::move(batch));
  }
  std::vector<std::string> expected;
  for (const RecordBatch& batch : batches) {
    expected.insert(expected.end(), batch.documents.begin(), batch.documents.end());
  }
  std::vector<std::string> found;
  for (const RecordBatch& batch : decode(encode(batches), Stream::events)) {
    EXPECT_EQ(batch.first, found.size() + 1);
    found.insert(found.end(), batch.documents.begin(), batch.documents.end());
  }
  EXPECT_EQ(found, expected);
}

TEST_F(DenseCodecTest, KeepsRandomReadings) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    std::vector<RecordBatch> batches;
    const std::uint64_t style = random();
    std::uint64_t first = 1;
    for (std::uint64_t frame = 0; frame <= random() % 20; ++frame) {
      std::vector<Reading> readings;
      for (std::uint64_t i = 0; i <= random() % (1 + style % 400); ++i) {
        Reading one = reading("d/" + std::to_string(random() % (1 + style % 300)), 0.0,
                              static_cast<std::int64_t>(random() >> (style % 60)));
        const auto kind = random() % (1 + style % 8);
        if (kind == 0) one.value = static_cast<double>(static_cast<std::int64_t>(random() % 20000) - 10000) / 100;
        if (kind == 1) one.value = std::bit_cast<double>(random());
        if (kind == 2) one.value = static_cast<std::int64_t>(random());
        if (kind == 3) one.value = random() >> (random() % 64);
        if (kind == 4) one.value = random() % 2 == 0;
        if (kind == 5) one.value = std::string(static_cast<std::size_t>(random() % 20), 'a');
        if (kind == 6) one.value = static_cast<double>(static_cast<float>(random() % 1000) / 7);
        if (kind == 7) one.value = static_cast<double>(static_cast<float>(static_cast<double>(random() % 1000) / 10));
        one.quality = static_cast<Quality>(random() % 3);
        readings.push_back(std::move(one));
      }
      batches.push_back(batch_of(std::move(readings), first, times(static_cast<std::int64_t>(frame) * 130)));
      first = batches.back().end().sequence;
    }
    expect_round_trip(batches);
    if (HasFailure()) return;
  }
}

TEST_F(DenseCodecTest, TakesFewBytesForWhatPlantsMeasure) {
  const auto expect_at_most = [&](double most, const char* name, const ModelledData& data) {
    const double bytes = bytes_a_reading(data);
    EXPECT_LE(bytes, most) << name;
    RecordProperty(name, std::to_string(bytes));
  };
  expect_at_most(3, "slow_temperatures", slow_temperatures(tags_, 30'000));
  expect_at_most(3, "modbus_integers", modbus_integers(tags_, 30'000));
  expect_at_most(5, "noisy_vibration", noisy_vibration(tags_, 30'000));
}

TEST_F(DenseCodecTest, StoresFloatsOfShortDecimalsAsThose) {
  std::vector<Reading> readings;
  for (int i = 0; i < 2000; ++i) {
    readings.push_back(reading("a/b", static_cast<double>(static_cast<float>((2100 + (i * 7) % 50) / 100.0))));
  }
  EXPECT_LT(expect_round_trip({batch_of(readings)}), 2000U * 2);
}

TEST_F(DenseCodecTest, SaysOfEveryCutAndEveryFlippedBitThatItIsOneOrReadsOn) {
  std::vector<RecordBatch> batches{batch_of({})};
  for (const Value& value : every_kind_of_value()) {
    if (const auto* text = std::get_if<std::string>(&value); text != nullptr && text->size() > 1000) continue;
    for (int i = 0; i < 3; ++i) batches[0].readings.push_back(reading("a/" + std::to_string(i), value));
  }
  for (std::uint64_t i = 0; i < 100; ++i) {
    batches.push_back(batch_of({reading("a/0", static_cast<double>(i) / 10)}, batches.back().end().sequence,
                               times(static_cast<std::int64_t>(i) * 100)));
  }
  const auto frames = encode(batches);
  ASSERT_EQ(frames.size(), 1U);
  const DenseFrame& frame = frames[0];
  const auto try_body = [&](ByteSpan body) {
    TagRegistry tags;
    if (decoder_.open(frame.header, body, tags) != DecodeStatus::ok) return;
    for (std::uint64_t at = frame.header.first; at < frame.header.end();) {
      RecordBatch batch;
      decoder_.read(at, batch);
      ASSERT_GT(batch.size(), 0U);
      at = batch.end().sequence;
    }
  };
  for (std::size_t size = 0; size < frame.body.size(); ++size) {
    TagRegistry tags;
    const std::vector<std::byte> cut(frame.body.begin(), frame.body.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_NE(decoder_.open(frame.header, cut, tags), DecodeStatus::ok) << "cut at " << size;
  }
  std::vector<std::byte> body = frame.body;
  for (std::size_t bit = 0; bit < body.size() * 8; ++bit) {
    body[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    try_body(body);
    body[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
  }
}

TEST_F(DenseCodecTest, RefusesPartsThatClaimToBeLarge) {
  const DenseFrame frame = encode({batch_of({reading("a/b", 1.0)})})[0];
  OutBuffer out;
  put_body_prefix(out, &boot_id_, {});
  out.put_varint(1);
  out.put_varint((1ULL << 40) * 2 + 1);  // a terabyte of counts
  out.put_varint(8);
  out.put_zeros(8);
  EXPECT_EQ(decoder_.open(frame.header, out.view(), tags_), DecodeStatus::malformed);
}

}  // namespace
}  // namespace tidegate::buffer

#ifndef CAFFE_UTIL_CRC32_HPP_
#define CAFFE_UTIL_CRC32_HPP_

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace caffe {

/// CRC-32 as in zlib, of what Add was given so far, eight bytes at a time (Kounavis and Berry, 2005).
class Crc32 {
 public:
  void Add(const void* bytes, size_t size) {
    static const Tables tables = MakeTables();
    const auto* data = static_cast<const uint8_t*>(bytes);
    uint32_t crc = state_;
    for (; size >= 8; data += 8, size -= 8) {
      uint32_t low, high;
      std::memcpy(&low, data, 4);
      std::memcpy(&high, data + 4, 4);
      low ^= crc;
      crc = 0;
      for (int byte = 0; byte < 4; ++byte) {
        crc ^= tables[7 - byte][low >> 8 * byte & 0xff] ^ tables[3 - byte][high >> 8 * byte & 0xff];
      }
    }
    for (; size > 0; ++data, --size) crc = (crc >> 8) ^ tables[0][(crc ^ *data) & 0xff];
    state_ = crc;
  }

  uint32_t value() const { return ~state_; }

  static uint32_t Of(const void* bytes, size_t size) {
    Crc32 crc;
    crc.Add(bytes, size);
    return crc.value();
  }

 private:
  using Tables = std::array<std::array<uint32_t, 256>, 8>;

  static Tables MakeTables() {
    Tables tables;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      uint32_t crc = byte;
      for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0xEDB88320u : 0);
      tables[0][byte] = crc;
    }
    for (size_t slice = 1; slice < tables.size(); ++slice) {
      for (uint32_t byte = 0; byte < 256; ++byte) {
        const uint32_t before = tables[slice - 1][byte];
        tables[slice][byte] = (before >> 8) ^ tables[0][before & 0xff];
      }
    }
    return tables;
  }

  uint32_t state_ = 0xffffffffu;
};

}  // namespace caffe

#endif  // CAFFE_UTIL_CRC32_HPP_

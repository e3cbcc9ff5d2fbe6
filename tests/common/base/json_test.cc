// Strict reading, canonical writing, members read strictly.
#include "common/base/json.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace gnnflow {
namespace {

std::string again(std::string_view text) {
  Result<Json> json = Json::parse(text);
  return json ? json->dump() : "error: " + json.error().message;
}

std::string refusal(std::string_view text) {
  Result<Json> json = Json::parse(text);
  if (json) return "accepted";
  EXPECT_EQ(json.error().cause, Cause::bad_data);
  return json.error().message;
}

TEST(Json, WritesKeysSortedOnOneLine) {
  EXPECT_EQ(again(R"({ "b": [1, -2], "a": {"z": null, "y": true} })"),
            R"({"a":{"y":true,"z":null},"b":[1,-2]})");
  EXPECT_EQ(again("[]"), "[]");
  EXPECT_EQ(again(" {} "), "{}");
}

TEST(Json, NumbersKeepTheirTypeAndValue) {
  EXPECT_EQ(again("[1, 1.0, 1e2, 0.1, -0.0, 1e300, 5e-324]"), "[1,1.0,100.0,0.1,-0.0,1e+300,5e-324]");
  EXPECT_EQ(again("9223372036854775807"), "9223372036854775807");
  EXPECT_EQ(again("-9223372036854775808"), "-9223372036854775808");
  for (double value : {0.1 + 0.2, 1.0 / 3, 1e22, 123456789012345680.0, std::numeric_limits<double>::max()}) {
    Result<Json> json = Json::parse(Json(value).dump());
    ASSERT_TRUE(json);
    EXPECT_FALSE(json->is_integer());
    EXPECT_EQ(json->number(), value);
  }
}

TEST(Json, NumbersThatAreNotFiniteAreWrittenAsNull) {
  EXPECT_EQ(Json(std::nan("")).dump(), "null");
  EXPECT_EQ(Json(std::numeric_limits<double>::infinity()).dump(), "null");
}

TEST(Json, EscapesWhatMustBeAndRoundTripsIt) {
  std::string text = "a\"\\\n\t\r\x01ü/";
  EXPECT_EQ(Json(text).dump(), R"("a\"\\\n\t\r\u0001ü/")");
  EXPECT_EQ(Json::parse(Json(text).dump())->string(), text);
  EXPECT_EQ(Json::parse(R"("\ud83d\ude00")")->string(), "😀");
}

TEST(Json, BytesThatAreNotUtf8AreMarkedAndTheRestStays) {
  EXPECT_EQ(Json("a\xFF\xC3z\xC3\xA9\xE2\x82").dump(), "\"a\uFFFD\uFFFDz\xC3\xA9\uFFFD\uFFFD\"");
  for (const std::string whole : {"\x7F", "\xC2\x80", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEF\xBF\xBF",
                                  "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"})
    EXPECT_EQ(Json::parse(Json(whole).dump())->string(), whole);
  // Overlong, half of a surrogate pair, beyond the last, cut.
  for (const std::string bad : {"\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
                                "\xF4\x90\x80\x80", "\xF5\x80", "\xF0\x90\x80", "\x80"}) {
    Result<Json> json = Json::parse(Json(bad).dump());
    ASSERT_TRUE(json);
    EXPECT_EQ(json->string().find(bad), std::string::npos);
  }
}

TEST(Json, WhateverIsWrittenIsReadBack) {
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; ++b) {
      const std::string text = {static_cast<char>(a), static_cast<char>(b), 'x', static_cast<char>(a)};
      Json json;
      json["text"] = text;
      EXPECT_TRUE(Json::parse(json.dump())) << a << ' ' << b;
      EXPECT_TRUE(Json::parse(json.dump_pretty())) << a << ' ' << b;
    }
  }
}

TEST(Json, PrettyTextIsIndentedAndReadsBackEqual) {
  Json json;
  json["b"].push_back(1);
  json["b"].push_back("x");
  json["a"] = Json::Object{};
  EXPECT_EQ(json.dump_pretty(), "{\n  \"a\": {},\n  \"b\": [\n    1,\n    \"x\"\n  ]\n}\n");
  EXPECT_EQ(*Json::parse(json.dump_pretty()), json);
}

TEST(Json, RefusesDuplicateKeysAtAnyDepth) {
  EXPECT_EQ(refusal(R"({"a":1,"a":1})"), "not JSON: key 'a' stands twice");
  EXPECT_EQ(refusal(R"([{"b":{"c":1,"d":2,"c":3}}])"), "not JSON: key 'c' stands twice");
  EXPECT_EQ(again(R"([{"a":1},{"a":{"a":2}}])"), R"([{"a":1},{"a":{"a":2}}])");
}

TEST(Json, RefusesNestingOver64Levels) {
  EXPECT_EQ(again(std::string(64, '[') + std::string(64, ']')), std::string(64, '[') + std::string(64, ']'));
  EXPECT_EQ(refusal(std::string(65, '[') + std::string(65, ']')), "not JSON: nested deeper than 64 levels");
  EXPECT_EQ(refusal(std::string(1'000'000, '[')), "not JSON: nested deeper than 64 levels");
}

TEST(Json, RefusesIntegersThatDoNotFit) {
  EXPECT_EQ(refusal("9223372036854775808"), "not JSON: number 9223372036854775808 is too large");
  EXPECT_EQ(refusal("18446744073709551616"), "not JSON: number 18446744073709551616 is too large");
  EXPECT_EQ(refusal("-9223372036854775809"), "not JSON: number -9223372036854775809 is too large");
  EXPECT_NE(refusal("1e999"), "accepted");
}

TEST(Json, RefusesWhatIsNotJson) {
  for (const char* wrong : {"", "{", "[1,]", "{\"a\"}", "nul", "01", "+1", "NaN", "'a'", "1 2", "\"\xff\"",
                            "\"\n\"", "// x\n1", "\"\\ud800\""}) {
    EXPECT_NE(refusal(wrong), "accepted") << wrong;
  }
}

TEST(Json, AnyCutOrFlippedTextIsReadOrRefusedNeverWorse) {
  const std::string text = R"({"a":[1,-2.5e3,"x\u00e9\n",true,null],"b":{"c":[[],{}]}})";
  ASSERT_EQ(refusal(text), "accepted");
  for (size_t length = 0; length < text.size(); ++length)
    EXPECT_NE(refusal(text.substr(0, length)), "accepted");
  for (size_t at = 0; at < text.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = text;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << bit));
      Result<Json> json = Json::parse(flipped);
      // Whatever is accepted is a value that its own canonical text gives again.
      if (json) {
        EXPECT_EQ(*Json::parse(json->dump()), *json) << flipped;
      }
    }
  }
}

TEST(Json, LenientReadingFallsBackOnAbsenceAndWrongType) {
  Json json = *Json::parse(R"({"n":3,"t":"x","b":true,"d":0.5})");
  EXPECT_EQ(json.integer_or("n", 9), 3);
  EXPECT_EQ(json.integer_or("t", 9), 9);
  EXPECT_EQ(json.number_or("n", 9), 3.0);
  EXPECT_EQ(json.number_or("d", 9), 0.5);
  EXPECT_EQ(json.text_or("t", "y"), "x");
  EXPECT_EQ(json.text_or("absent", "y"), "y");
  EXPECT_TRUE(json.boolean_or("b", false));
  EXPECT_TRUE(json.get("absent").get("deeper").is_null());
  EXPECT_FALSE(Json(1).has("a"));
}

TEST(Fields, ReadsEveryTypeAndIsContent) {
  Json json = *Json::parse(R"({"i":1,"d":2,"b":false,"t":"x","l":[1],"m":{"k":1},"o":null})");
  Fields fields(json, "part.json");
  EXPECT_EQ(fields.integer("i"), 1);
  EXPECT_EQ(fields.number("d"), 2.0);
  EXPECT_FALSE(fields.boolean("b"));
  EXPECT_EQ(fields.text("t"), "x");
  EXPECT_EQ(fields.list("l").array().size(), 1u);
  EXPECT_TRUE(fields.map("m").has("k"));
  EXPECT_TRUE(fields.any("o").is_null());
  EXPECT_EQ(fields.integer_or("absent", 7), 7);
  EXPECT_EQ(fields.text_or("absent", "y"), "y");
  EXPECT_EQ(fields.optional("absent"), nullptr);
  EXPECT_TRUE(fields.finish());
}

std::string complaint(std::string_view text, void (*read)(Fields&)) {
  Json json = *Json::parse(text);
  Fields fields(json, "part.json");
  read(fields);
  Status status = fields.finish();
  return status ? "none" : status.error().message;
}

TEST(Fields, TellsTheFirstOfSeveralFaults) {
  auto read = [](Fields& fields) {
    fields.integer("index");
    fields.text("name");
    fields.number_or("rate", 1);
  };
  EXPECT_EQ(complaint(R"({"index":1,"name":"x"})", read), "none");
  EXPECT_EQ(complaint(R"({"name":"x"})", read), "part.json: key 'index' is missing");
  EXPECT_EQ(complaint(R"({"index":"1","name":2})", read),
            "part.json: 'index' must be an integer, but is text");
  EXPECT_EQ(complaint(R"({"index":1.5,"name":"x"})", read),
            "part.json: 'index' must be an integer, but is number");
  EXPECT_EQ(complaint(R"({"index":1,"name":"x","rate":[]})", read),
            "part.json: 'rate' must be a number, but is list");
  EXPECT_EQ(complaint("[1]", read), "part.json: must be a map, but is list");
}

TEST(Fields, RefusesKeysThatNobodyAskedForAndSuggests) {
  auto read = [](Fields& fields) { fields.integer_or("epochs", 1); };
  EXPECT_EQ(complaint(R"({"epoch":3})", read), "part.json: unknown key 'epoch'; did you mean 'epochs'?");
  EXPECT_EQ(complaint(R"({"colour":3})", read), "part.json: unknown key 'colour'");
}

TEST(Fields, CarriesTheGivenCause) {
  Json json = Json::Object{};
  Fields fields(json, "flow.yml", Cause::bad_workflow);
  fields.integer("a");
  EXPECT_EQ(fields.finish().error().cause, Cause::bad_workflow);
}

}  // namespace
}  // namespace gnnflow

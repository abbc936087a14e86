// What a field of a configuration proto is. Internal to this folder.
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>

#include <string>

namespace capstan::config {

inline bool IsDuration(const google::protobuf::FieldDescriptor& field) {
  return field.message_type() == google::protobuf::Duration::descriptor();
}

// A message with settings of its own, such as `lease`.
inline bool IsSection(const google::protobuf::FieldDescriptor& field) {
  return field.cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE &&
         !field.is_repeated() && !IsDuration(field);
}

// For people: what a value looks like.
inline std::string TypeOf(const google::protobuf::FieldDescriptor& field) {
  if (IsDuration(field)) return "a duration";
  if (field.is_map()) return "key=value,…";
  if (field.is_repeated()) return "a list";
  switch (field.cpp_type()) {
    case google::protobuf::FieldDescriptor::CPPTYPE_BOOL:
      return "true or false";
    case google::protobuf::FieldDescriptor::CPPTYPE_INT32:
    case google::protobuf::FieldDescriptor::CPPTYPE_INT64:
    case google::protobuf::FieldDescriptor::CPPTYPE_UINT32:
      return "a whole number";
    case google::protobuf::FieldDescriptor::CPPTYPE_DOUBLE:
      return "a number";
    default:
      return "text";
  }
}

}  // namespace capstan::config

# Answers as the package file of Eigen 5 does: to a request for its own major version only.
set(PACKAGE_VERSION 5.0.0)
if(PACKAGE_FIND_VERSION_MAJOR EQUAL 5)
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
endif()

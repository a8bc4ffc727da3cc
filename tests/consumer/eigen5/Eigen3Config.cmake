# The real Eigen of this machine under the version number of another.
include(${REAL_EIGEN_DIR}/Eigen3Targets.cmake)

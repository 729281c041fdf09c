// Roots, logarithms and exponentials of single floats, as LibTorch computes them.
//
// LibTorch's vector library and the C library part in the last bit (a third of all square roots). A step from nearly
// pure noise magnifies that bit a hundredfold, and the pictures of a seed would differ visibly from diffusers' in their
// fifth digit.
#pragma once

namespace unnoise {

float torch_sqrt(float x);
float torch_log(float x);
float torch_exp(float x);
float torch_expm1(float x);

}  // namespace unnoise

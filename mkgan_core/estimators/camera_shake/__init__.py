"""The estimator `camera-shake` (ours): kernels of any shape, read off the image's edges.

First on the low-resolution grid, coarse to fine: a latent image whose gradient is mostly zero (Xu, Zheng and Jia,
"Unnatural L0 sparse representation for natural image deblurring", CVPR 2013), and the kernel that makes the image of
it, in turns. Then on the high-resolution grid, with the subsampling in the model: variational Bayes over the gradients
(Levin, Weiss, Durand and Freeman, "Efficient marginal likelihood optimization in blind deconvolution", CVPR 2011, with
the prior of Wipf and Zhang, "Revisiting Bayesian blind deconvolution", JMLR 2014).
"""

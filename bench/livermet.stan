// models/nkg2d_nk_t_livermet.py with IL-6, IFN-gamma and CRP, 20 states, as a Stan user would write it: one call of
// ode_bdf_tol between two days of dosing; sensitivities of the eight individual parameters only, the rest is data.
// Cells (and tumour cells) are in units of 1e7, so that one absolute tolerance suits every state.
functions {
  vector rhs(real t, vector y, vector p, array[] real f) {
    // p: dK0 drej uE U50 d2 kapT il6_per_kill kg
    // f: 1 blood_volume, 2 kin, 3 kout, 4 phiL, 5 kPB, 6 rho, 7 QU, 8 EU_NK, 9 EU_T, 10 kUB, 11 rK, 12 EC15, 13 trej, 14 N,
    //    15 uH, 16 NH, 17 d1, 18 kEM, 19 dM, 20 kapK, 21 theta, 22 ligand, 23 wK, 24 il6_baseline, 25 il6_loss,
    //    26 ifn_gamma_baseline, 27 ifn_gamma_loss, 28 ifn_gamma_per_kill, 29 crp_baseline, 30 crp_loss, 31 crp_gain,
    //    32 crp_half, 33 release, 34 il6_receptor, 35 crp_synthesis
    // y: 1-5 KP KB KL KU KS, 6-10 aP aB aL aU aS, 11-14 bB bL bU bS, 15 M, 16 IL15, 17 U, 18 IL-6, 19 IFN-gamma, 20 CRP
    vector[20] d;
    real U = y[17];
    real excess = fmax(y[16] - 5.0, 0.0);
    real h = excess / (f[12] + excess);
    real active = U / (U + p[4] / 1e7);
    real growth = f[11] * h - p[1] - p[2] * inv_logit((t - f[13]) / 2.0);
    real liver = f[2] * f[4];
    real rest = f[2] * (1 - f[4]);
    real flow = f[7] * (1e7 * U / f[6]) / f[1];
    real nk_in = flow * f[8];
    real t_in = flow * f[9];
    real died = -p[5] - f[18];
    real in_tumour = p[3] * active * y[9];
    real in_rest = f[15] * h * y[10];
    real T = y[9] + y[13];
    real by_t = f[22] * p[6] * T / (f[21] * U + T + 1e-7);
    real by_nk = f[22] * f[20] * y[4] / (f[21] * U + y[4] + 1e-7);
    real flux = f[33] * (by_t + f[23] * by_nk) * U * 1e7;
    real base = 1 + f[31] * f[24] / (f[32] + f[24]);
    d[1] = (growth - f[5]) * y[1];
    d[2] = f[5] * y[1] + f[3] * (y[3] + y[5]) + f[10] * y[4] - (liver + rest + nk_in - growth) * y[2];
    d[3] = liver * y[2] - (f[3] - growth) * y[3];
    d[4] = nk_in * y[2] - (f[10] - growth) * y[4];
    d[5] = rest * y[2] - (f[3] - growth) * y[5];
    d[6] = -(f[5] + f[17]) * y[6];
    d[7] = f[5] * y[6] + f[3] * (y[8] + y[10]) + f[10] * y[9] - (liver + rest + t_in + f[17]) * y[7];
    d[8] = liver * y[7] - (f[3] + f[17]) * y[8];
    d[9] = t_in * y[7] - (f[10] + f[17]) * y[9] - in_tumour;
    d[10] = rest * y[7] - (f[3] + f[17]) * y[10] - in_rest;
    d[11] = f[3] * (y[12] + y[14]) + f[10] * y[13] - (liver + rest + t_in - died) * y[11];
    d[12] = liver * y[11] - (f[3] - died) * y[12];
    d[13] = t_in * y[11] - (f[10] - died) * y[13] + 2 ^ f[14] * in_tumour;
    d[14] = rest * y[11] - (f[3] - died) * y[14] + 2 ^ f[16] * in_rest;
    d[15] = f[18] * (y[11] + y[12] + y[13] + y[14]) - f[19] * y[15];
    d[16] = -0.35 * (y[16] - 5.0);
    d[17] = (p[8] - by_t - by_nk) * U;
    d[18] = f[25] * (f[24] - f[34] * y[18]) + p[7] * flux;
    d[19] = f[27] * (f[26] - y[19]) + f[28] * flux;
    d[20] = f[30] * (f[35] * f[29] * (1 + f[31] * y[18] / (f[32] + y[18])) / base - y[20]);
    return d;
  }
}
data {
  int<lower=1> N, J, K;           // subjects, records of each, days with a dose
  array[N, J] real t_obs;
  array[K] real t_dose;
  array[N, K] vector[20] given;   // what a day's doses add to each state
  vector[20] start;
  array[35] real f;
  real U0, TS0, rel_tol, abs_tol;
  int max_steps;
}
parameters {
  matrix[8, N] x;                 // logs of the individual parameters
}
transformed parameters {
  array[N] matrix[J, 4] seen;     // logs of CAR-NK and CAR-T per uL + 0.01, of IL-6, and of the sum of diameters
  for (i in 1 : N) {
    vector[8] p = exp(x[, i]);
    vector[20] y = start;
    int j = 1;
    for (k in 1 : K) {
      int n = 0;
      int last = k == K;
      while (j + n <= J && (last || t_obs[i, j + n] <= t_dose[min(k + 1, K)])) n += 1;
      y += given[i, k];
      array[n + !last] real ts;
      for (m in 1 : n) ts[m] = t_obs[i, j + m - 1];
      if (!last) ts[n + 1] = t_dose[k + 1];
      array[n + !last] vector[20] s = ode_bdf_tol(rhs, y, t_dose[k], ts, rel_tol, abs_tol, max_steps, p, f);
      for (m in 1 : n) {
        real T = s[m, 7] + s[m, 11] + s[m, 15] * f[3] / (f[3] + f[2]);
        seen[i, j + m - 1, 1] = log(10 * s[m, 2] / f[1] + 0.01);
        seen[i, j + m - 1, 2] = log(10 * T / f[1] + 0.01);
        seen[i, j + m - 1, 3] = log(s[m, 18] + 0.01);
        seen[i, j + m - 1, 4] = log(TS0 * cbrt(1e7 * s[m, 17] / U0) + 0.01);
      }
      j += n;
      if (!last) y = s[n + 1];
    }
  }
}
model {
  for (i in 1 : N) target += sum(seen[i]);
}
